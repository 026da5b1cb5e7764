// random.ts: randomness as a port, so that tests can use a seed.

export interface Random {
  /** In [0, 1). */
  next(): number;
}

export const systemRandom: Random = { next: () => Math.random() };
