"""The glue between the node and the models: Celery tasks, reading studies into arrays, building result objects."""
