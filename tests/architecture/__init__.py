"""How the source must look: layers, size, names, and no knowledge or clock in the code."""
