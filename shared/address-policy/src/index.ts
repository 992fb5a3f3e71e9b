export { type AddressPolicy, makeAddressPolicy, type Target } from './address-policy.ts'
