"""Writes the manifests that repeat another file of `deploy/`: `python -m tests.support.generated_manifests`.

The alert rules and the dashboard are kept once, where promtool and Grafana read them.
"""

import textwrap

from tests.support.deploy_files import DEPLOY

RULE = """\
# For the Prometheus Operator: the alerts of deploy/prometheus/alerts.yml, from which it is made by
#   python -m tests.support.generated_manifests
# Prometheus takes it only if its ruleSelector does: kube-prometheus-stack asks for a label such as `release: NAME`.
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: thingspace-fota
  labels:
    app.kubernetes.io/name: thingspace-fota
spec:
"""
DASHBOARD = """\
# The dashboard of deploy/grafana/dashboard.json, from which it is made by
#   python -m tests.support.generated_manifests
# Grafana's sidecar, as its chart and kube-prometheus-stack start it, loads ConfigMaps with this label; it must look into this
# namespace (sidecar.dashboards.searchNamespace).
apiVersion: v1
kind: ConfigMap
metadata:
  name: thingspace-fota-dashboard
  labels:
    app.kubernetes.io/name: thingspace-fota
    grafana_dashboard: "1"
data:
  thingspace-fota.json: |
"""
FOLDER = DEPLOY / "kubernetes" / "optional"


def generated() -> dict[str, str]:
    """The text of each generated file of `optional/`, by its name."""
    rules = (DEPLOY / "prometheus" / "alerts.yml").read_text()
    dashboard = (DEPLOY / "grafana" / "dashboard.json").read_text()
    return {
        "prometheusrule.yaml": RULE + textwrap.indent(rules, "  "),
        "grafana-dashboard.yaml": DASHBOARD + textwrap.indent(dashboard, "    "),
    }


if __name__ == "__main__":
    for name, text in generated().items():
        (FOLDER / name).write_text(text)
