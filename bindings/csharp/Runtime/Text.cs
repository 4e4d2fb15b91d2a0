// Text.cs: strings to and from the C interface's UTF-8.
using System;
using System.Runtime.InteropServices;
using System.Text;

namespace Rtvoice
{
    internal static class Text
    {
        /// <summary>The bytes of a string and the zero behind them.</summary>
        internal static byte[] Bytes(string text)
        {
            if (text == null) throw new ArgumentNullException("text");
            if (text.IndexOf('\0') >= 0) throw new ArgumentException("a name or path must not hold a zero character", "text");
            byte[] bytes = new byte[Encoding.UTF8.GetByteCount(text) + 1];
            Encoding.UTF8.GetBytes(text, 0, text.Length, bytes, 0);
            return bytes;
        }

        /// <summary>The string that a pointer of the library leads to.</summary>
        internal static string Of(IntPtr pointer)
        {
            if (pointer == IntPtr.Zero) return "";
            int length = 0;
            while (Marshal.ReadByte(pointer, length) != 0) ++length;
            byte[] bytes = new byte[length];
            Marshal.Copy(pointer, bytes, 0, length);
            return Encoding.UTF8.GetString(bytes);
        }
    }
}
