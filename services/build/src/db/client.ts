import type { Database } from '@berth/service'
import { PrismaPg } from '@prisma/adapter-pg'
import { PrismaClient } from './generated/client.ts'

/** Prisma over the service's own pool, for lists and plain reads. */
export function openPrisma(db: Database): PrismaClient {
  return new PrismaClient({ adapter: new PrismaPg(db.pool, { schema: db.schema }) })
}

export type Prisma = PrismaClient
