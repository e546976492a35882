"""Workloads drawn from laws, and from clients' windows."""
