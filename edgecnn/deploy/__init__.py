"""Deployment of models to devices over ssh, and running edgecnn commands there."""
