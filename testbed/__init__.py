"""Real processes to experiment with: the service, the sandbox, Redis servers, proxies. Imports neither listener nor registrar."""
