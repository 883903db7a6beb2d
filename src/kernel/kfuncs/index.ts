export {
  KF_ACQUIRE,
  KF_DESTRUCTIVE,
  KF_DEV_BOUND,
  KF_ITER_DESTROY,
  KF_ITER_NEW,
  KF_ITER_NEXT,
  KF_RCU,
  KF_RCU_PROTECTED,
  KF_RELEASE,
  KF_RET_NULL,
  KF_SLEEPABLE,
  KF_TRUSTED_ARGS,
} from './flags.ts';
export { kfuncAllowed, kfuncFlags, kfuncNames } from './registry.ts';
