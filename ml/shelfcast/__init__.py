"""The Python side of shelfcast: jobs for ingest, features, train and evaluate."""
