"""One router a subject; :data:`node.web.app.ROUTERS` lists them."""
