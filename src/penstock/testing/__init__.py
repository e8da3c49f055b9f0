"""For tests of Penstock and of connectors to it: private servers."""
