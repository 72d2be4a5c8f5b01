{{/* What a schema cannot say. Each message names the value and what to do. */}}

{{- define "tahuka.validate" -}}
{{- $v := .Values -}}
{{- if not $v.nats.enabled -}}
{{- if eq $v.mode "microservices" -}}
{{- fail "nats.enabled: mode microservices needs NATS; set it, or mode: all" -}}
{{- end -}}
{{- with (include "tahuka.targets" . | fromJson).all.values -}}
{{- if .autoscaling.enabled -}}
{{- fail "targets.all.autoscaling.enabled: without NATS one replica is right; set nats.enabled, or switch it off" -}}
{{- end -}}
{{- if ne (int .replicas) 1 -}}
{{- fail "targets.all.replicas: without NATS it must be 1, since events stay in their process; set nats.enabled, or targets.all.replicas: 1" -}}
{{- end -}}
{{- end -}}
{{- else if not (or $v.nats.url $v.nats.existingSecret) -}}
{{- fail "nats.url: say where NATS is, here or by nats.existingSecret" -}}
{{- end -}}
{{- range $name, $target := include "tahuka.targets" . | fromJson -}}
{{- $at := printf "targets.%s" $name -}}
{{- with $target.values -}}
{{- if and .autoscaling.enabled (gt (int .autoscaling.minReplicas) (int .autoscaling.maxReplicas)) -}}
{{- fail (printf "%s.autoscaling.minReplicas: more than maxReplicas" $at) -}}
{{- end -}}
{{- if .disruptionBudget.enabled -}}
{{- if eq (kindIs "invalid" .disruptionBudget.minAvailable) (kindIs "invalid" .disruptionBudget.maxUnavailable) -}}
{{- fail (printf "%s.disruptionBudget: set one of maxUnavailable and minAvailable, the other null" $at) -}}
{{- end -}}
{{- end -}}
{{- range $env, $value := .extraEnv -}}
{{- if and (kindIs "string" $value) (regexMatch "^TAHUKA__(DATABASE|NATS)__URL$" $env) -}}
{{- fail (printf "%s.extraEnv.%s: a URL with a secret does not belong in a pod's text; name a Secret in database.existingSecret or nats.existingSecret" $at $env) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if hasKey (get $v.config "database" | default dict) "url" -}}
{{- fail "config.database.url: the configuration becomes a ConfigMap; name a Secret in database.existingSecret" -}}
{{- end -}}
{{- if hasKey (get $v.config "nats" | default dict) "url" -}}
{{- fail "config.nats.url: set nats.url, or with a secret in it nats.existingSecret" -}}
{{- end -}}
{{- if regexMatch "//[^/]*@" $v.nats.url -}}
{{- fail "nats.url: a user or a password in it is a secret; name a Secret in nats.existingSecret" -}}
{{- end -}}
{{- if and $v.demo.enabled (not $v.demo.existingSecret) -}}
{{- fail "demo.existingSecret: every pod needs the same key of the built-in identity provider; name the Secret" -}}
{{- end -}}
{{- with $v.platform -}}
{{- if .issuer -}}
{{- range $field := list "audience" "subject" -}}
{{- if not (get $v.platform $field) -}}
{{- fail (printf "platform.%s: it is needed where platform.issuer is set" $field) -}}
{{- end -}}
{{- end -}}
{{- if eq (empty .jwks) (empty .jwksUrl) -}}
{{- fail "platform.jwksUrl: set it, or platform.jwks; one of the two" -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if and $v.tls.existingSecret $v.tls.certManager.enabled -}}
{{- fail "tls.existingSecret: it and tls.certManager.enabled cannot both make the certificate" -}}
{{- end -}}
{{- if and $v.tls.certManager.enabled (not $v.tls.certManager.issuerRef.name) -}}
{{- fail "tls.certManager.issuerRef.name: name the issuer" -}}
{{- end -}}
{{- range $kind := list "grpcRoute" "httpRoute" "ingress" -}}
{{- with get $v.exposure $kind -}}
{{- if and .enabled (not .hostnames) -}}
{{- fail (printf "exposure.%s.hostnames: name at least one" $kind) -}}
{{- end -}}
{{- if and .enabled (ne $kind "ingress") (not .parentRefs) -}}
{{- fail (printf "exposure.%s.parentRefs: name the Gateway" $kind) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if and $v.backup.enabled (not $v.backup.existingClaim) -}}
{{- fail "backup.existingClaim: name the claim that archives are written to" -}}
{{- end -}}
{{- if and $v.externalSecrets.enabled (not $v.externalSecrets.storeRef.name) -}}
{{- fail "externalSecrets.storeRef.name: name the store" -}}
{{- end -}}
{{- end -}}
