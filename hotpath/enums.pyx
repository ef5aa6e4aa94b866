"""Codes of the core as Python enumerations; the one definition is in enums.pxd."""
