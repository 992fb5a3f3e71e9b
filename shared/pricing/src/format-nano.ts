/** An amount for people to read, exact to the nano-unit and without needless zeros: `$0.0375`, `1.20 EUR`. */
export function formatNano(nano: number, currency: string): string {
  const digits = String(Math.abs(nano)).padStart(10, '0')
  const whole = digits.slice(0, -9)
  const fraction = digits.slice(-9).replace(/0+$/, '').padEnd(2, '0')
  const sign = nano < 0 ? '-' : ''
  return currency === 'USD' ? `${sign}$${whole}.${fraction}` : `${sign}${whole}.${fraction} ${currency}`
}
