"""The application that the integration document's examples are about."""
