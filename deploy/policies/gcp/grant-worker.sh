#!/usr/bin/env bash
# Gives one pool's worker what it needs on Google Cloud, queue by queue. Safe to repeat. First, once per project:
#   for role in consumer publisher worker-blobs; do
#     gcloud iam roles create "forebay_${role//-/_}" --project="$PROJECT" --file="$role-role.yaml"
#   done
# The queues must be there: the control plane makes them when it first uses the pool.
set -euo pipefail
: "${PROJECT:?}" "${PREFIX:?as in pubsub://PROJECT/PREFIX}" "${POOL:?}" "${BUCKET:?}" "${BLOB_PREFIX:?as in gs://BUCKET/BLOB_PREFIX}"
: "${MEMBER:?such as serviceAccount:worker@PROJECT.iam.gserviceaccount.com}"

role() { echo "projects/$PROJECT/roles/forebay_$1"; }
topic() { gcloud pubsub topics add-iam-policy-binding "$1" --project="$PROJECT" --member="$MEMBER" --role="$(role publisher)"; }
subscription() { gcloud pubsub subscriptions add-iam-policy-binding "$1" --project="$PROJECT" --member="$MEMBER" --role="$(role consumer)"; }

for lane in realtime standard batch; do
  subscription "$PREFIX.$POOL.$lane"
  topic "$PREFIX.$POOL.$lane~dead"
done
topic "$PREFIX.$POOL.results"

# A condition sees an object's whole name; a list is asked of the bucket.
root="projects/_/buckets/$BUCKET/objects/$BLOB_PREFIX"
gcloud storage buckets add-iam-policy-binding "gs://$BUCKET" --member="$MEMBER" --role="$(role worker_blobs)" \
  --condition="title=forebay-$POOL,expression=resource.name.startsWith(\"$root/tenants/\") || resource.name.startsWith(\"$root/queue/\") || resource.type == \"storage.googleapis.com/Bucket\""
