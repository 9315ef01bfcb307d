"""The configuration of a realm, and the plan that is compiled from it."""
