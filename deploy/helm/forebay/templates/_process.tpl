{{/* What every container of Forebay has. Called with the chart's root and the name of the process. */}}
{{- define "forebay.container" }}
image: "{{ .root.Values.image.repository }}:{{ .root.Values.image.tag }}"
imagePullPolicy: {{ .root.Values.image.pullPolicy }}
securityContext:
  runAsNonRoot: true
  # `node` of the image; a name cannot be checked.
  runAsUser: 1000
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: { drop: [ALL] }
  seccompProfile: { type: RuntimeDefault }
readinessProbe:
  httpGet: { path: /readyz, port: 8080 }
  periodSeconds: 5
livenessProbe:
  httpGet: { path: /healthz, port: 8080 }
  periodSeconds: 10
  failureThreshold: 6
volumeMounts:
  - { name: pools, mountPath: /etc/forebay, readOnly: true }
  - { name: tmp, mountPath: /tmp }
{{- end }}

{{- define "forebay.env" }}
- { name: BLOB_URL, value: {{ .Values.blobUrl | quote }} }
- { name: FOREBAY_CONFIG, value: /etc/forebay/forebay.config.yaml }
- { name: FOREBAY_OPS_PORT, value: "8080" }
{{- range $name, $value := .Values.env }}
- { name: {{ $name }}, value: {{ $value | quote }} }
{{- end }}
{{- end }}

{{- define "forebay.volumes" }}
- name: pools
  configMap: { name: {{ .Release.Name }}-pools }
- name: tmp
  emptyDir: {}
{{- end }}
