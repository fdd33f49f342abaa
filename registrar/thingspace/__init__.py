"""The callback API of ThingSpace: its requests, replies, sign-in and transport."""
