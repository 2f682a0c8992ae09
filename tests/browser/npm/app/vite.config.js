export default { base: './', esbuild: { jsx: 'automatic' }, logLevel: 'warn' };
