{{/* Which targets run, and what holds for each. Answers are JSON, for fromJson. */}}

{{/* What the binary knows: files/targets.yaml. */}}
{{- define "tahuka.known" -}}
{{ .Files.Get "files/targets.yaml" | fromYaml | toJson }}
{{- end -}}

{{/* Names of the services with a database, sorted: {services: […]}. */}}
{{- define "tahuka.services" -}}
{{- $services := list -}}
{{- range $name, $target := include "tahuka.known" . | fromJson -}}
{{- if $target.database }}{{ $services = append $services $name }}{{ end -}}
{{- end -}}
{{ dict "services" ($services | sortAlpha) | toJson }}
{{- end -}}

{{/*
The targets of this release by name. Of each: `values` (defaults, and targets.<name> over them), `services` (whose databases
it opens), `asks` (whom it calls over the network), `gateway` (it has the door), `house` (it listens for other targets).
*/}}
{{- define "tahuka.targets" -}}
{{- $root := . -}}
{{- $services := (include "tahuka.services" . | fromJson).services -}}
{{- $targets := dict -}}
{{- if eq .Values.mode "all" -}}
{{- $values := mustMergeOverwrite (deepCopy .Values.defaults) (deepCopy (.Values.targets.all | default dict)) -}}
{{- $_ := set $targets "all" (dict "values" $values "services" $services "asks" list "gateway" true "house" false) -}}
{{- else -}}
{{- range $name, $known := include "tahuka.known" . | fromJson -}}
{{- $values := mustMergeOverwrite (deepCopy $root.Values.defaults) (deepCopy (get $root.Values.targets $name | default dict)) -}}
{{- $own := ternary (list $name) (list) $known.database -}}
{{- $_ := set $targets $name (dict "values" $values "services" $own "asks" $known.asks "gateway" (not $known.database) "house" $known.database) -}}
{{- end -}}
{{- end -}}
{{ toJson $targets }}
{{- end -}}

{{/* The target with the door: `all` or `gateway`. */}}
{{- define "tahuka.door" -}}
{{- ternary "all" "gateway" (eq .Values.mode "all") -}}
{{- end -}}
