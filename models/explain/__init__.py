"""Why a model answers as it does: where in the picture, when in the signal."""
