"""The pages that search the queue: messages by filters, a device, an upgrade, all upgrades, and the search box."""
