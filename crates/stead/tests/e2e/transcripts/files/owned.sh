#!/bin/sh
# owned.sh OWNER NAME: a config map that belongs to another, and blocks its deletion in the foreground.
uid=$(kubectl get configmap "$1" -o jsonpath='{.metadata.uid}')
kubectl create -f - <<YAML
apiVersion: v1
kind: ConfigMap
metadata:
  name: $2
  ownerReferences: [{apiVersion: v1, kind: ConfigMap, name: $1, uid: $uid, blockOwnerDeletion: true}]
YAML
