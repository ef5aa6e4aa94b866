"""Types of hotpath.ledger: it exports to compiled code only."""
