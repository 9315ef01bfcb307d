"""The configuration of a realm, and the plan compiled from it."""
