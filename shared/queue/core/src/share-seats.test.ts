import { describe, expect, it } from 'vitest'
import { shareSeats } from './share-seats.ts'

describe('shareSeats', () => {
  it.each([
    ['gives the highest lane all it asks beyond the floors', 10, [2, 1, 1], [20, 20, 20], [8, 1, 1]],
    ['lends a floor nobody asks for', 10, [2, 1, 3], [20, 0, 0], [10, 0, 0]],
    ['passes on what higher lanes do not need', 10, [2, 1, 1], [1, 2, 20], [1, 2, 7]],
    ['serves each lane a seat in turn when floors exceed seats', 2, [4, 4, 4], [9, 9, 9], [1, 1, 0]],
    ['gives none of none', 0, [1, 1], [5, 5], [0, 0]],
    ['takes a missing floor as none', 3, [], [2, 2], [2, 1]],
    ['never gives a fraction', 3.9, [0, 1], [1.5, 9], [1, 2]],
  ])('%s', (_name, seats, floors, demand, shares) => {
    expect(shareSeats({ seats, floors, demand })).toEqual(shares)
  })
})
