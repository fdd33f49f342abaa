"""ThingSpace's reports on upgrades and devices, in the forms of its three versions: values in, values out."""
