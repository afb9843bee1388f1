"""Models of chest radiographs: pneumonia of children, and the course of COVID-19."""
