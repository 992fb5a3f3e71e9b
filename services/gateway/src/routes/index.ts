import type { Route } from '../gateway-deps.ts'
import { cancelBatch } from './cancel-batch/handler.ts'
import { correctLedger } from './correct-ledger/handler.ts'
import { createBatch } from './create-batch/handler.ts'
import { createChatCompletion } from './create-chat-completion/handler.ts'
import { createCompletion } from './create-completion/handler.ts'
import { createEmbedding } from './create-embedding/handler.ts'
import { createKey } from './create-key/handler.ts'
import { createPrice } from './create-price/handler.ts'
import { createProject } from './create-project/handler.ts'
import { createRollout } from './create-rollout/handler.ts'
import { createTenant } from './create-tenant/handler.ts'
import { createWebhook } from './create-webhook/handler.ts'
import { decideReview } from './decide-review/handler.ts'
import { deleteBudget } from './delete-budget/handler.ts'
import { deleteFile } from './delete-file/handler.ts'
import { deleteKey } from './delete-key/handler.ts'
import { deleteWebhook } from './delete-webhook/handler.ts'
import { drainPool, undrainPool } from './drain-pool/handler.ts'
import { eraseContent } from './erase-content/handler.ts'
import { eraseEndUser } from './erase-end-user/handler.ts'
import { exportUsage } from './export-usage/handler.ts'
import { flushCache } from './flush-cache/handler.ts'
import { getBatch } from './get-batch/handler.ts'
import { getErasure } from './get-erasure/handler.ts'
import { getFile } from './get-file/handler.ts'
import { getFileContent } from './get-file-content/handler.ts'
import { getModel } from './get-model/handler.ts'
import { getRetention } from './get-retention/handler.ts'
import { getReview } from './get-review/handler.ts'
import { getTenantCache } from './get-tenant-cache/handler.ts'
import { getTenantQuality } from './get-tenant-quality/handler.ts'
import { getUsage } from './get-usage/handler.ts'
import { listAudit } from './list-audit/handler.ts'
import { listBatchRequests } from './list-batch-requests/handler.ts'
import { listBatches } from './list-batches/handler.ts'
import { listBudgets } from './list-budgets/handler.ts'
import { listCheckpoints } from './list-checkpoints/handler.ts'
import { listErasures } from './list-erasures/handler.ts'
import { listFiles } from './list-files/handler.ts'
import { listKeys } from './list-keys/handler.ts'
import { listLedger } from './list-ledger/handler.ts'
import { listModels } from './list-models/handler.ts'
import { listPools } from './list-pools/handler.ts'
import { listPrices } from './list-prices/handler.ts'
import { listProjects } from './list-projects/handler.ts'
import { listReviews } from './list-reviews/handler.ts'
import { listRollouts } from './list-rollouts/handler.ts'
import { listTenants } from './list-tenants/handler.ts'
import { listWebhooks } from './list-webhooks/handler.ts'
import { promoteRollout, rollBackRollout } from './move-rollout/handler.ts'
import { setBudget } from './set-budget/handler.ts'
import { setRetention } from './set-retention/handler.ts'
import { showHealth } from './show-health/handler.ts'
import { showLedgerDrift } from './show-ledger-drift/handler.ts'
import { showRouting } from './show-routing/handler.ts'
import { showScaling } from './show-scaling/handler.ts'
import { updateTenantCache } from './update-tenant-cache/handler.ts'
import { updateTenantQuality } from './update-tenant-quality/handler.ts'
import { uploadFile } from './upload-file/handler.ts'
import { verifyAudit } from './verify-audit/handler.ts'

/** Routes that need no key. */
export const openRoutes: readonly Route[] = [showHealth]

/** Routes for any key, within its tenant. */
export const userRoutes: readonly Route[] = [
  uploadFile,
  listFiles,
  getFile,
  getFileContent,
  deleteFile,
  createBatch,
  listBatches,
  getBatch,
  cancelBatch,
  listBatchRequests,
  listModels,
  getModel,
  getUsage,
  exportUsage,
  listReviews,
  getReview,
  decideReview,
  createWebhook,
  listWebhooks,
  deleteWebhook,
]

/** Routes for keys with the role admin, across tenants. */
export const adminRoutes: readonly Route[] = [
  createKey,
  listKeys,
  deleteKey,
  createTenant,
  listTenants,
  createProject,
  listProjects,
  createPrice,
  listPrices,
  listLedger,
  setBudget,
  listBudgets,
  deleteBudget,
  correctLedger,
  showLedgerDrift,
  listPools,
  showRouting,
  showScaling,
  drainPool,
  undrainPool,
  createRollout,
  listRollouts,
  promoteRollout,
  rollBackRollout,
  flushCache,
  getTenantCache,
  updateTenantCache,
  getTenantQuality,
  updateTenantQuality,
  getRetention,
  setRetention,
  eraseContent,
  eraseEndUser,
  getErasure,
  listErasures,
  listAudit,
  verifyAudit,
  listCheckpoints,
]

/** Routes whose body is passed on to an engine. */
export const liveRoutes: readonly Route[] = [createChatCompletion, createCompletion, createEmbedding]
