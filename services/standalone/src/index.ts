export { type Cluster, type Replicas, startCluster } from './cluster/start-cluster.ts'
export type { Engine } from './open-engine.ts'
export { type Standalone, startStandalone } from './start-standalone.ts'
