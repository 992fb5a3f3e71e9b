#!/usr/bin/env bash
# Gives the control plane (gateway, scheduler, results) what it needs on Google Cloud. Safe to repeat. First, once:
#   gcloud iam roles create forebay_control_plane --project="$PROJECT" --file=control-plane-role.yaml
# Pub/Sub can be narrowed per queue only once the queues are there; to make them, the role has to be the project's. Give
# Forebay a project of its own where that is too much.
set -euo pipefail
: "${PROJECT:?}" "${BUCKET:?}" "${BLOB_PREFIX:?as in gs://BUCKET/BLOB_PREFIX}" "${MEMBER:?such as serviceAccount:…}"

gcloud projects add-iam-policy-binding "$PROJECT" --member="$MEMBER" --condition=None \
  --role="projects/$PROJECT/roles/forebay_control_plane"

# Its lists ask with a prefix, which the condition sees as a list of the bucket itself.
root="projects/_/buckets/$BUCKET/objects/$BLOB_PREFIX/"
gcloud storage buckets add-iam-policy-binding "gs://$BUCKET" --member="$MEMBER" --role=roles/storage.objectUser \
  --condition="title=forebay-control-plane,expression=resource.name.startsWith(\"$root\") || resource.type == \"storage.googleapis.com/Bucket\""

# Dead-lettering is done by Pub/Sub itself, under its own name.
number=$(gcloud projects describe "$PROJECT" --format='value(projectNumber)')
for role in roles/pubsub.publisher roles/pubsub.subscriber; do
  gcloud projects add-iam-policy-binding "$PROJECT" --condition=None --role="$role" \
    --member="serviceAccount:service-$number@gcp-sa-pubsub.iam.gserviceaccount.com"
done
