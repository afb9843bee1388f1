"""DICOMweb (PS3.18): the Store transaction, STOW-RS, through the same intake as C-STORE."""
