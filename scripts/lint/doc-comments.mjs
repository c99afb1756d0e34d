/** ESLint rule: a doc comment begins with a noun phrase, or a sentence with a subject (CONTRIBUTING.md, Language). */
import firstWords from './first-words.json' with { type: 'json' };

const REFUSED = new RegExp(`^(?:${firstWords.join('|')})\\b`);

export const docComments = {
  meta: {
    type: 'suggestion',
    schema: [],
    messages: {
      fragment:
        'Begin with a noun phrase or a sentence with a subject, not with "{{word}}" (CONTRIBUTING.md, Language).',
    },
  },
  create(context) {
    const check = (text, place) => {
      const word = REFUSED.exec(text)?.[0];
      if (word !== undefined) context.report({ ...place, messageId: 'fragment', data: { word } });
    };
    return {
      Program() {
        for (const [index, comment] of context.sourceCode.getAllComments().entries()) {
          const isHeader = index === 0 && comment.loc.start.line === 1;
          if (!isHeader && !(comment.type === 'Block' && comment.value.startsWith('*'))) continue;
          check(comment.value.replace(/^[*\s]+/, ''), { loc: comment.loc });
        }
      },
      // The description of a schema becomes a docstring in Python and a line of docs/configuration.md.
      'CallExpression[callee.property.name="describe"] > Literal.arguments:first-child'(node) {
        check(String(node.value), { node });
      },
      'CallExpression[callee.property.name="meta"] > ObjectExpression > Property[key.name="description"] > Literal'(
        node,
      ) {
        check(String(node.value), { node });
      },
    };
  },
};
