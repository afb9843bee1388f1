"""The `overread` command's parts: one file a noun, thin over what the rooms do."""
