"""Types of hotpath.rules: it exports to compiled code only."""
