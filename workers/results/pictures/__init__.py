"""Pictures for people: key slices, radiographs, waveforms and bars, drawn for captures, the PDF report and the web."""
