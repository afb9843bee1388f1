"""What every trainer needs: division by patient, the loop, losses, transfer, metrics, calibration, plots, records."""
