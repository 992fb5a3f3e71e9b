/** The secrets of the storage account, under the names that Azure's own tools use; undefined when not set. */
export function azureSecrets(): { key: string | undefined; sas: string | undefined } {
  return {
    key: process.env['AZURE_STORAGE_KEY'] || undefined,
    sas: process.env['AZURE_STORAGE_SAS_TOKEN'] || undefined,
  }
}
