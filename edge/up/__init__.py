"""The whole appliance in the foreground: a private broker, the gateway, the governor and a worker."""
