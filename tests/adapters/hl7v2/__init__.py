"""HL7 v2: messages of our own making, read and taken the way a hospital sends them."""
