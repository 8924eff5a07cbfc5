"""Screening of exports: every door of it, on data of our own making."""
