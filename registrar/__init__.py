"""The registrar: keeps the service's URL registered with ThingSpace, from boot to shutdown."""
