#!/usr/bin/env bash
# Gives the control plane (gateway, scheduler, results) what it needs on Azure. Safe to repeat. It makes queues and reads
# how long they are, which is Data Owner of the namespace: give Forebay one of its own.
set -euo pipefail
: "${SUBSCRIPTION:?}" "${GROUP:?resource group}" "${NAMESPACE:?}" "${STORAGE_ACCOUNT:?}" "${CONTAINER:?}" "${PRINCIPAL:?}"
: "${BLOB_PREFIX:?as in azblob://ACCOUNT/CONTAINER/BLOB_PREFIX}"

group="/subscriptions/$SUBSCRIPTION/resourceGroups/$GROUP/providers"
assign() {
  az role assignment create --assignee-object-id "$PRINCIPAL" --assignee-principal-type ServicePrincipal "$@"
}

assign --role 'Azure Service Bus Data Owner' --scope "$group/Microsoft.ServiceBus/namespaces/$NAMESPACE"

path='@Resource[Microsoft.Storage/storageAccounts/blobServices/containers/blobs:path]'
data='Microsoft.Storage/storageAccounts/blobServices/containers/blobs'
assign --role 'Storage Blob Data Contributor' \
  --scope "$group/Microsoft.Storage/storageAccounts/$STORAGE_ACCOUNT/blobServices/default/containers/$CONTAINER" \
  --condition-version 2.0 \
  --condition "((!(ActionMatches{'$data/read'} AND NOT SubOperationMatches{'Blob.List'}) AND !(ActionMatches{'$data/write'}) AND !(ActionMatches{'$data/add/action'}) AND !(ActionMatches{'$data/delete'})) OR ($path StringLike '$BLOB_PREFIX/*'))"
