"""`python -m brokers.sim '{...}'`: a venue with the JSON configuration given as the only argument."""

import sys

import msgspec

from brokers.sim.config import VenueConfig
from brokers.sim.server import run_venue

if __name__ == "__main__":
    run_venue(msgspec.json.decode(sys.argv[1] if len(sys.argv) > 1 else "{}", type=VenueConfig))
