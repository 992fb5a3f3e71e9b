#!/usr/bin/env bash
# Gives one pool's worker what it needs on Azure, queue by queue. Safe to repeat. The queues must be there: the control
# plane makes them when it first uses the pool. PRINCIPAL is the object id of the worker's managed identity.
set -euo pipefail
: "${SUBSCRIPTION:?}" "${GROUP:?resource group}" "${NAMESPACE:?}" "${PREFIX:?as in servicebus://NAMESPACE/PREFIX}" "${POOL:?}"
: "${STORAGE_ACCOUNT:?}" "${CONTAINER:?}" "${BLOB_PREFIX:?as in azblob://ACCOUNT/CONTAINER/BLOB_PREFIX}" "${PRINCIPAL:?}"

group="/subscriptions/$SUBSCRIPTION/resourceGroups/$GROUP/providers"
assign() {
  az role assignment create --assignee-object-id "$PRINCIPAL" --assignee-principal-type ServicePrincipal "$@"
}
on_queue() {
  assign --role "$1" --scope "$group/Microsoft.ServiceBus/namespaces/$NAMESPACE/queues/$2"
}

for lane in realtime standard batch; do
  on_queue 'Azure Service Bus Data Receiver' "$PREFIX.$POOL.$lane"
  # A retry with a delay is a scheduled copy, sent to the job's own queue.
  on_queue 'Azure Service Bus Data Sender' "$PREFIX.$POOL.$lane"
done
on_queue 'Azure Service Bus Data Sender' "$PREFIX.$POOL.results"

path='@Resource[Microsoft.Storage/storageAccounts/blobServices/containers/blobs:path]'
data='Microsoft.Storage/storageAccounts/blobServices/containers/blobs'
# What the condition names is allowed below the prefix alone; the role allows nothing else of a blob.
assign --role 'Storage Blob Data Contributor' \
  --scope "$group/Microsoft.Storage/storageAccounts/$STORAGE_ACCOUNT/blobServices/default/containers/$CONTAINER" \
  --condition-version 2.0 \
  --condition "((!(ActionMatches{'$data/read'}) AND !(ActionMatches{'$data/write'}) AND !(ActionMatches{'$data/add/action'}) AND !(ActionMatches{'$data/delete'})) OR ($path StringLike '$BLOB_PREFIX/tenants/*' OR $path StringLike '$BLOB_PREFIX/queue/*'))"
