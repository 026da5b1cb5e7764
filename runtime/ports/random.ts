// random.ts: randomness as a port, so that a seed can stand in for it.

export interface Random {
  /** In [0, 1). */
  next(): number;
}

export const systemRandom: Random = { next: () => Math.random() };
