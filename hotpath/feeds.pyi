"""Types of hotpath.feeds."""

FEEDS_MAX: int
NO_FEED: int
