// Forebay's own keys begin otherwise.
export const relayStream = 'bench-relay-jobs'
export const relayChannel = 'bench-relay-replies'
