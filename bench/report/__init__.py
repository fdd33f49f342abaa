"""The way from single runs to tables, targets, the plot and the published document. Pure but for `publish`."""
