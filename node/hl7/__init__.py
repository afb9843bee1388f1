"""HL7 v2: framing, messages in, messages out."""
