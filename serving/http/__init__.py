"""HTTP: endpoints, parameters, refusals, middleware, and the processes that serve them."""
